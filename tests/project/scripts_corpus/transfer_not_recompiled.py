# expect: KD702 KD711 KD713 KD716
import keras

keras.utils.set_random_seed(1)
base = keras.applications.Xception(weights="imagenet", include_top=False, input_shape=(150, 150, 3))
base.trainable = False
inputs = keras.Input((150, 150, 3))
x = keras.layers.GlobalAveragePooling2D()(base(inputs, training=False))
model = keras.Model(inputs, keras.layers.Dense(1)(x))
model.compile(optimizer="adam", loss=keras.losses.BinaryCrossentropy(from_logits=True))
model.fit(train_ds, epochs=2)
base.trainable = True
model.fit(train_ds, epochs=1)
