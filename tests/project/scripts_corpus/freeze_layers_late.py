# expect: KD701 KD702 KD711 KD713 KD716
from tensorflow.keras.applications import VGG16
from tensorflow.keras.layers import Dense, Flatten
from tensorflow.keras.models import Model

vgg = VGG16(weights="imagenet", include_top=False, input_shape=(224, 224, 3))
out = Dense(10, activation="softmax")(Flatten()(vgg.output))
model = Model(inputs=vgg.input, outputs=out)
model.compile(loss="categorical_crossentropy", optimizer="adam")
for layer in model.layers[:15]:
    layer.trainable = False
model.fit(train, epochs=5)
