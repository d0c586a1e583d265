# expect: KD701 KD702 KD711 KD716
import keras
import tensorflow as tf
from keras import layers


class Sampling(layers.Layer):
    def call(self, inputs):
        mean, log_var = inputs
        return mean + tf.exp(0.5 * log_var) * tf.random.normal(tf.shape(mean))


encoder_inputs = keras.Input(shape=(28, 28, 1))
x = layers.Flatten()(layers.Conv2D(32, 3, activation="relu")(encoder_inputs))
z_mean = layers.Dense(2)(x)
z_log_var = layers.Dense(2)(x)
encoder = keras.Model(encoder_inputs, [z_mean, z_log_var, Sampling()([z_mean, z_log_var])])
decoder = keras.Sequential([keras.Input((2,)), layers.Dense(784, activation="sigmoid"), layers.Reshape((28, 28, 1))])


class VAE(keras.Model):
    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder

    def train_step(self, data):
        with tf.GradientTape() as tape:
            z_mean, z_log_var, z = self.encoder(data)
            reconstruction = self.decoder(z)
            loss = tf.reduce_mean(keras.losses.binary_crossentropy(data, reconstruction))
        grads = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(grads, self.trainable_weights))
        return {"loss": loss}


vae = VAE(encoder, decoder)
vae.compile(optimizer=keras.optimizers.Adam())
vae.fit(mnist_digits, epochs=30, batch_size=128)
